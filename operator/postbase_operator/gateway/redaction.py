"""What no log may hold, cut out of every line: tokens of ours and GitHub's, passwords in addresses,
signatures of download links, device codes. PURE."""

from __future__ import annotations

import re

HIDDEN = "[redacted]"
_SECRETS = re.compile(
    r"\bpb_[0-9A-Za-z]+"
    r"|\bgh[a-z]_[0-9A-Za-z]+|\bgithub_pat_[0-9A-Za-z_]+"
    r"|(?<=://)[^\s/@:]+:[^\s/@]+(?=@)"
    r"|(?<=X-Amz-Signature=)[0-9A-Fa-f]+|(?<=X-Amz-Credential=)[^&\s\"]+"
    r"|(?i:(?<=device_code=)[^&\s\"']+|(?<=\"device_code\": \")[^\"]+|(?<=bearer )[^\s\"']+)"
)


def redacted(text: str) -> str:
    return _SECRETS.sub(HIDDEN, text)
