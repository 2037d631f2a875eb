# SPDX-License-Identifier: BSD-3-Clause
"""``python -m chanconv``: what `chanconv.show_config` shows."""

import argparse
import json

from chanconv.config import show_config


def main():
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m chanconv", description="Show the configuration of chanconv.")
    parser.add_argument("--json", action="store_true", help="as JSON")
    if parser.parse_args().json:
        print(json.dumps(show_config("dicts"), indent=2))
    else:
        show_config()


if __name__ == "__main__":
    main()
