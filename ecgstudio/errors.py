"""The exceptions of ECG Studio. A UserError's text is shown to the user as it is."""


class EcgStudioError(Exception):
    """Root of every exception that we raise on purpose."""


class UserError(EcgStudioError):
    """Something the user can act on: the text is one sentence that a clinician understands."""


class InputError(UserError):
    """A file that was given to us cannot be used."""


class OutputError(UserError):
    """A file cannot be written; nothing of it was left behind."""
