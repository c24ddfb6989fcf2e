#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""docs/statuses.md says of every status what include/faas/base.h says.

    tests/statuses.py            compares
    tests/statuses.py --update   writes the page anew
"""

import os
import re
import sys

# By the status that a group begins with: its title, whether the handler ran, what to do.
GROUPS = {
    "FAAS_OK": ("Success", "yes, if there was one to run", "Go on."),
    "FAAS_EINVAL": ("Wrong", "no", "Mend the call: trying it again will not help. "
                    "`faas_error_text()` says which value."),
    "FAAS_EBUSY": ("Refused", "no; an asynchronous invocation may have run in an "
                   "earlier attempt, and may be running while it is `FAAS_EPENDING`", "Try later, or give the work up. After a throttle "
                   "`faas_retry_after_ns()` says when."),
    "FAAS_EHANDLER": ("Ran", "yes", "Look at the handler's own code and text. Try again only "
                      "if the handler may run twice."),
    "FAAS_ENOMEM": ("Machine", "no", "Free what is short, then try again."),
}

HEAD = """# Statuses

Made by `tests/statuses.py --update` from [base.h](../include/faas/base.h).
"""


def page_of(header):
    """Returns the page, and how many statuses it lists."""
    body = re.search(r"typedef enum faas_status \{(.*?)\} faas_status;", header, re.DOTALL)[1]
    page, count = HEAD, 0
    for name, value, text in re.findall(r"(FAAS_\w+) = (-?\d+),? /\*\*<(.*?)\*/",
                                        re.sub(r" +", " ", body), re.DOTALL):
        if name in GROUPS:
            title, ran, todo = GROUPS[name]
            page += (f"\n## {title}\n\nThe handler ran: {ran}. {todo}\n\n"
                     "| status | number | meaning |\n|---|--:|---|\n")
        page += f"| `{name}` | {value} | {' '.join(text.split())} |\n"
        count += 1
    if count != len(re.findall(r"^ *FAAS_\w+ =", body, re.MULTILINE)):
        page += "\nA status has no comment.\n"
        count = 0
    return page, count


def main():
    os.chdir(os.environ.get("FAAS_SOURCE_DIR") or os.path.dirname(sys.path[0]))
    with open("include/faas/base.h", encoding="utf-8") as file:
        page, count = page_of(file.read())
    if "--update" in sys.argv[1:]:
        with open("docs/statuses.md", "w", encoding="utf-8") as file:
            file.write(page)
    with open("docs/statuses.md", encoding="utf-8") as file:
        same = file.read() == page
    print(f"{count} statuses" if same else "docs/statuses.md is not what base.h says: --update")
    return 0 if same and count else 1


if __name__ == "__main__":
    sys.exit(main())
