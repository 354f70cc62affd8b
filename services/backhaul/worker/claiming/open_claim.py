"""A claim that waits for its answer."""

from dataclasses import dataclass

from backhaul.worker.claiming.offers import Offer
from backhaul.worker.claiming.token import Token, TokenStream
from backhaul_contracts.claims import Claim


@dataclass(slots=True, eq=False)
class OpenClaim:
    """A claim without an answer, the tokens that led to it, and what it offers."""

    claim: Claim
    stream: TokenStream
    tokens: list[Token]
    offer: Offer
    made_at: float

    def give_back(self) -> None:
        """Nobody waits for the answer any more: the tokens go back."""
        for token in self.tokens:
            token.delivery.requeue()
        self.tokens.clear()
