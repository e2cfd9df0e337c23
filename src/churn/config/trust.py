"""Keys of the model card, of approvals and of privacy."""

from dataclasses import dataclass, field
from typing import Optional

from churn.config.limits import BETWEEN_ZERO_AND_ONE, ONE_OR_MORE, key


@dataclass
class CardConfig:
    """`churn.evaluate.report.card`; where a key is null or empty, the card says "unknown"."""

    owner: Optional[str] = None  # team or person that answers for the model
    contact: Optional[str] = None  # where to ask: an address of a team rather than of a person
    intended_use: Optional[str] = None  # which decision it is for
    users: Optional[str] = None  # who works with its answers
    misuse: Optional[str] = None  # what it must not be used for
    approvers: list[str] = field(default_factory=list)  # roles or names that may approve it for production
    limits: list[str] = field(default_factory=list)  # known limits, beside those that the program finds


@dataclass
class ApprovalConfig:
    """Who lets a model go to production (`churn.bundle.approval`); kept with its version in the registry."""

    by: Optional[str] = None  # a name
    evidence: Optional[str] = None  # what it rests on: minutes, a ticket, the model card that was read
    key: Optional[str] = None  # PEM file of the private Ed25519 key that signs it; null: not signed
    # PEM files of public keys: `deploy.env=prod` then takes no approval that none of them has signed.
    trusted: list[str] = field(default_factory=list)


@dataclass
class PrivacyConfig:
    """What files may hold of persons (`churn.data.id_hash`)."""

    # File of the key by which ids are hashed; made at the first use. Copy it to each machine that serves or
    # monitors, or set CHURN_ID_KEY there. null: ~/.config/churn/id.key. It may not lie in `run.root`.
    key_file: Optional[str] = None


@dataclass
class RobustnessConfig:
    """What the report shows of worse data and of customers who adapt (`churn.evaluate.robustness`)."""

    # Shares of the labels that are flipped; each is a training of its own, and so is the one without noise.
    label_noise: list[float] = key([], BETWEEN_ZERO_AND_ONE)
    customers: int = key(500, ONE_OR_MORE)  # of the test part whose decision is attacked, at most
