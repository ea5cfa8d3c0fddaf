"""The contract with partners and readers: made from the code, checked against what was released."""
