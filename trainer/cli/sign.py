"""``edge-trainer sign``: signs models for devices that run no others."""

from __future__ import annotations

import argparse
from typing import Any

from trainer.cli.options import add_command


def add(commands: Any) -> None:
    """Adds the command."""
    sign = add_command(commands, "sign", "sign models: a device with the public key runs no others", _sign)
    sign.add_argument("models", nargs="*", metavar="MODEL", help=".tflite files; each gets MODEL.sig beside it")
    key = sign.add_mutually_exclusive_group(required=True)
    key.add_argument("--key", metavar="PRIVATE.pem", help="an Ed25519 key")
    key.add_argument(
        "--new-key", metavar="NAME", help="make one, too: NAME.pem, which stays secret, and NAME.pub.pem for devices"
    )
    sign.epilog = "The device's command: edge-runtime run MODEL --require-signature NAME.pub.pem"
    sign.set_defaults(parser=sign)


def _sign(arguments: argparse.Namespace) -> int:
    from trainer.export.signing import new_key, sign_model

    if arguments.key and not arguments.models:
        arguments.parser.error("expected a MODEL to sign with --key")
    key = arguments.key
    if arguments.new_key:
        key, public = new_key(arguments.new_key)
        print(f"Made {key}, the private key: keep it secret, and a copy where it can't get lost.")
        print(f"Made {public}, the public key: copy it to the devices.")
    for model in arguments.models:
        print(f"Signed {model}: copy {sign_model(model, key)} beside it.")
    return 0
