// The page works without this code: it makes charts and tables interactive.
'use strict';
(() => {
  const find = (what, where = document) => [...where.querySelectorAll(what)];
  const charts = JSON.parse(document.getElementById('charts').textContent);
  const controls = document.querySelector('.controls');
  const views = [];

  const tip = document.createElement('div');
  tip.className = 'tip';
  tip.hidden = true;
  document.body.append(tip);
  const showTip = (handler, event, item, value) => {
    tip.hidden = !value;
    if (!value) return;
    tip.textContent = value;
    const box = tip.getBoundingClientRect();
    const left = Math.min(event.clientX + 14, innerWidth - box.width - 8);
    const above = event.clientY - box.height - 12;
    tip.style.left = `${Math.max(8, left)}px`;
    tip.style.top = `${above > 8 ? above : event.clientY + 16}px`;
  };

  const draw = async () => {
    for (const [name, chart] of Object.entries(charts)) {
      const place = document.getElementById(`chart-${name}`);
      const still = place.innerHTML;
      const frame = document.createElement('div');
      place.replaceChildren(frame);
      try {
        const {view} = await vegaEmbed(frame, chart, {
          mode: 'vega', renderer: 'svg', actions: false, defaultStyle: false,
          tooltip: showTip, logLevel: 1}); // that a layer is empty is no error
        views.push(view);
      } catch (error) {
        place.innerHTML = still; // the picture says the same
        console.error(error);
      }
    }
  };

  // The state is in the address, so that a link shows what its sender saw.
  const read = () => {
    const asked = new URLSearchParams(location.hash.slice(1));
    const axis = find('[name=axis]', controls).find(
      (input) => input.value === (asked.get('x') || '').replace(' ', '+'));
    if (axis) axis.checked = true;
    const metric = find('option', controls).find(
      (option) => option.value === asked.get('metric'));
    if (metric) metric.selected = true;
  };

  const show = async () => {
    const axis = controls.elements.axis.value ||
      find('[name=axis]', controls)[0].value;
    const metric = controls.elements.metric.value;
    const hidden = find('.legend input').filter((box) => !box.checked)
      .map((box) => box.value);
    const caption = document.querySelector('[data-metric]');
    caption.textContent = metric;
    caption.nextElementSibling.textContent =
      JSON.parse(caption.dataset.metric)[metric];
    for (const view of views) {
      await view.signal('axis', axis).signal('metric', metric)
        .signal('hidden', hidden).runAsync();
    }
    document.documentElement.dataset.shown = `${axis} ${metric}`;
  };

  const keep = () => {
    const asked = new URLSearchParams({
      x: controls.elements.axis.value, metric: controls.elements.metric.value});
    history.replaceState(null, '', `#${asked}`);
  };

  const sort = (head, column) => {
    const body = head.closest('table').tBodies[0];
    const up = head.getAttribute('aria-sort') !== 'ascending';
    const key = (row) => {
      const cell = row.cells[column];
      return 'key' in cell.dataset ? Number(cell.dataset.key) :
        cell.textContent;
    };
    const rows = [...body.rows].sort((a, b) => {
      const [x, y] = [key(a), key(b)];
      const order = typeof x === 'number' ? x - y : x.localeCompare(y);
      return up ? order : -order;
    });
    find('th', head.parentElement).forEach(
      (other) => other.removeAttribute('aria-sort'));
    head.setAttribute('aria-sort', up ? 'ascending' : 'descending');
    body.append(...rows);
  };

  for (const grid of find('[data-sorts]')) {
    find('thead th', grid).forEach((head, column) => {
      const button = document.createElement('button');
      button.type = 'button';
      button.append(...head.childNodes);
      button.addEventListener('click', () => sort(head, column));
      head.append(button);
    });
  }
  addEventListener('beforeprint', () => find('details').forEach(
    (part) => { part.open = true; }));
  controls.hidden = false;
  controls.addEventListener('submit', (event) => event.preventDefault());
  controls.addEventListener('change', () => { keep(); show(); });
  for (const box of find('.legend input')) {
    box.addEventListener('change', () => { // a setting is in both legends
      find('.legend input').filter((other) => other.value === box.value)
        .forEach((other) => { other.checked = box.checked; });
      show();
    });
  }
  addEventListener('hashchange', () => { read(); show(); });
  read();
  draw().then(show);
})();
