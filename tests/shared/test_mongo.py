"""What is said of MongoDB's failures."""

from pymongo.errors import AutoReconnect, BulkWriteError

from shared.mongo import told


def test_what_a_bulk_write_did_not_take_is_told_without_its_documents() -> None:
    refused = {"index": 1, "code": 388, "errmsg": "too large", "op": {"title": "a text"}}
    failed = BulkWriteError({"writeErrors": [refused], "upserted": [{"_id": "s-1"}]})
    assert "a text" in str(failed)
    assert told(failed) == "BulkWriteError: too large"
    unsure = BulkWriteError({"writeErrors": [], "writeConcernErrors": [{"errmsg": "timeout"}]})
    assert told(unsure) == "BulkWriteError: not acknowledged"
    assert told(AutoReconnect("connection closed")) == "AutoReconnect: connection closed"
