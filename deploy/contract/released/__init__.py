"""The contracts that programs of others were written for, by version; never edited."""
