from gcp_mm.plain_data import differences


def test_equal_settings_do_not_differ():
    assert differences({"a": [1], "b": 2}, {"b": 2, "a": [1]}) == []


def test_each_difference_has_both_values():
    found = differences({"a": 1, "b": 2, "c": 3}, {"b": 4, "c": 3, "d": "x"})
    assert found == [
        "a is 1 there and None here",
        "b is 2 there and 4 here",
        "d is None there and 'x' here",
    ]
