from pellucid_server.nearest import nearest


def test_nearest_names_one_or_lists_what_there_is() -> None:
    assert nearest("Resnet", ["resnet", "nanodet"]) == " Did you mean 'resnet'?"
    assert nearest("zzz", ["resnet", "nanodet"]) == " Known: resnet, nanodet."
    assert nearest("zzz", []) == " There are none."
    assert nearest("zzz", map(str, range(14))).endswith("10, 11 and 2 more.")
