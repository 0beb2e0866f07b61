"""The predictor's logger, for modules that must not load the handlers of watch/logs.py."""

import logging

predictor_log = logging.getLogger("dawnlist.predictor")
