"""Plugins for detect-secrets 1.5, to add by `--plugin`. See README.md."""
import re

from detect_secrets.plugins import stripe
from detect_secrets.plugins.base import RegexBasedDetector


class RallyCrmDetector(RegexBasedDetector):
    """API keys of Rally CRM. Nothing is sent: the base class verifies nothing."""

    secret_type = "Rally CRM API key"  # pragma: allowlist secret
    denylist = (re.compile(r"\brk_live_[0-9a-f]{32}\b"),)


class StripeDetector(stripe.StripeDetector):
    """Replaces the detector of the same name, which takes our keys for Stripe's."""

    denylist = (re.compile(r"(?:rk_live_(?![0-9a-f]{32}\b)|sk_live_)[0-9a-zA-Z]{24}"),)
