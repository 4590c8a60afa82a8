"""``edge-trainer sign``: sign models for devices that run only signed ones."""

from __future__ import annotations

import argparse
from typing import Any

from trainer.cli.options import add_command


def add(commands: Any) -> None:
    """Add the command."""
    examples = ("--new-key door", "model_int8.tflite --key door.pem", "model_int8.tflite --new-key door")
    summary = "Sign models, for devices that accept only models you signed"
    sign = add_command(commands, "sign", summary, _sign, examples)
    sign.description = f"{sign.description}\nOn the device: edge-runtime run MODEL --require-signature NAME.pub.pem"
    sign.add_argument("models", nargs="*", metavar="MODEL", help=".tflite files; the signature is written to MODEL.sig")
    key = sign.add_mutually_exclusive_group(required=True)
    key.add_argument("--key", metavar="PRIVATE.pem", help="Ed25519 private key to sign with")
    key.add_argument(
        "--new-key", metavar="NAME", help="Create a key pair: NAME.pem to keep secret and NAME.pub.pem for devices"
    )
    sign.set_defaults(parser=sign)


def _sign(arguments: argparse.Namespace) -> int:
    from trainer.export.signing import new_key, sign_model

    if arguments.key and not arguments.models:
        arguments.parser.error("--key needs at least one MODEL to sign")
    key = arguments.key
    if arguments.new_key:
        key, public = new_key(arguments.new_key)
        print(f"Created {key}, the private key. Keep it secret, and keep a backup.")
        print(f"Created {public}, the public key. Copy it to the devices.")
    for model in arguments.models:
        print(f"Signed {model}. Copy {sign_model(model, key)} along with it.")
    return 0
