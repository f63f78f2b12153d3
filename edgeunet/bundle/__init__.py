"""Bundles: the folder that is copied to the device, with manifest, graphs and engines."""

from edgeunet.bundle.folder import Bundle, check_target, open_bundle, write_bundle
from edgeunet.bundle.manifest import Manifest

__all__ = ["Bundle", "Manifest", "check_target", "open_bundle", "write_bundle"]
