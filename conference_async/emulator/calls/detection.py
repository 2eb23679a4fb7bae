"""Machine detection: the words in which each of its modes reports what it heard."""

_TO_THE_END = "detectmessageend"
_MACHINE_AT_ONCE = "machine_start"
_MACHINE_AT_THE_END = "machine_end_beep"


def in_words_of(mode: str, heard: str) -> str:
    """Return what was heard as a mode words it.

    ``Enable`` reports a machine as soon as it knows, ``DetectMessageEnd`` how its message ended.

    Args:
        mode: ``Enable`` or ``DetectMessageEnd``, in any case.
        heard: A word of either mode.
    """
    if not heard.startswith("machine_"):
        return heard
    if mode.lower() != _TO_THE_END:
        return _MACHINE_AT_ONCE
    return _MACHINE_AT_THE_END if heard == _MACHINE_AT_ONCE else heard
