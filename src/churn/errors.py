"""The one exception that speaks to the user instead of the developer."""

import sys
from collections.abc import Iterable


class UserError(Exception):
    """A wrong input or configuration: what is wrong, where, and what to do.

    The command line prints the message without a traceback and ends with exit code 2. Anything
    else that is raised is a bug and keeps its traceback.
    """

    def __init__(self, what: str, where: str = "", do: str = "") -> None:
        self.what, self.where, self.do = what, where, do
        lines = [what, where and f"  where: {where}", do and f"  do: {do}"]
        super().__init__("\n".join(line for line in lines if line))


def user_error_of_many(title: str, problems: Iterable[UserError]) -> UserError:
    """One error that lists all problems, so that a user mends them in one go."""
    listed = "\n".join("- " + str(problem).replace("\n", "\n  ") for problem in problems)
    return UserError(f"{title}\n{listed}")


def missing_extra(package: str, extra: str) -> UserError:
    """The error for a package that is there only if the extra `extra` is installed."""
    command = f"{sys.executable} -m pip install 'churn[{extra}]'"
    return UserError(f"the package {package} is not installed", do=command)
