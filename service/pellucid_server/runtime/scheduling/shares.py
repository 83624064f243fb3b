from collections.abc import Mapping

from pellucid_server.runtime.scheduling.policy import Priority

Debt = tuple[Priority, Priority]
"""(debtor, creditor): the debtor's work has passed the creditor's."""
Charges = tuple[tuple[Debt, float], ...]
ROUNDING = 1e-9


class Shares:
    """Which class is next: the highest that waits, unless a lower one has earned its turn.

    Each unit that passes a waiting lower class earns it `share * cost`; what covers the cost of its
    next unit buys a turn (Shreedhar, Varghese: Deficit Round Robin, 1995). A class goes before
    another only for what that one and higher ones owe it: an interactive unit never waits for what
    lower classes owe each other.
    """

    def __init__(self, shares: Mapping[Priority, float]) -> None:
        self._shares = shares
        self._owed: dict[Debt, float] = {}

    def pick(
        self, heads: Mapping[Priority, float], lowest: Priority = Priority.BULK
    ) -> tuple[Priority, Charges]:
        """The class that is next, and what that changes in the debts.

        Args:
            heads: the cost of the next turn of each class that waits; at least one.
            lowest: classes below it earn, but are not next.
        """
        if self._owed:
            self._owed = {debt: owed for debt, owed in self._owed.items() if debt[1] in heads}
        if len(heads) == 1 and not self._owed:
            return next(iter(heads)), ()
        top, *lower = sorted(heads)
        due = (
            each
            for each in lower
            if each <= lowest and self._due(top, each) >= heads[each] - ROUNDING
        )
        chosen = next(due, top)
        charges = (*self._paid(top, chosen, heads[chosen]), *self._earned(chosen, heads))
        for debt, change in charges:
            self._change(debt, change)
        return chosen, charges

    def refund(self, charges: Charges) -> None:
        """Undoes a pick."""
        for debt, change in charges:
            self._change(debt, -change)

    def _due(self, top: Priority, creditor: Priority) -> float:
        return sum(self._owed.get((debtor, creditor), 0.0) for debtor in Priority if debtor <= top)

    def _paid(self, top: Priority, chosen: Priority, cost: float) -> Charges:
        charges = []
        for debtor in reversed([each for each in Priority if each <= top and each < chosen]):
            part = min(cost, self._owed.get((debtor, chosen), 0.0))
            cost -= part
            charges.append(((debtor, chosen), -part))
        return tuple(charges)

    def _earned(self, chosen: Priority, heads: Mapping[Priority, float]) -> Charges:
        return tuple(
            ((chosen, lower), self._shares.get(lower, 0.0) * heads[chosen])
            for lower in heads
            if lower > chosen
        )

    def _change(self, debt: Debt, change: float) -> None:
        self._owed[debt] = max(0.0, self._owed.get(debt, 0.0) + change)
