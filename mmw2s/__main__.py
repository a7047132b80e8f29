# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from .cli import main

if __name__ == '__main__':
    main()
