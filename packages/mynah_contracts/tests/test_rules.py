"""The rights as text: what the plugin needs, and nothing that it would not read as meant."""

import base64
import hashlib
import json
from collections import Counter

import pytest

from mynah_contracts import Role
from mynah_contracts.generate.rights import dynamic_security

PASSWORDS = {Role.STT: "correct horse", Role.GUEST: "battery staple"}


def test_nothing_is_allowed_that_is_not_said() -> None:
    defaults = dynamic_security("mynah", {})["defaultACLAccess"]
    assert defaults == {
        "publishClientSend": False,
        "publishClientReceive": False,
        "subscribe": False,
        "unsubscribe": True,
    }


def test_each_role_has_rights_and_each_password_a_user() -> None:
    rights = dynamic_security("mynah", PASSWORDS)
    assert [role["rolename"] for role in rights["roles"]] == list(Role)
    assert {user["username"]: user["roles"] for user in rights["clients"]} == {
        "stt": [{"rolename": "stt"}],
        "guest": [{"rolename": "guest"}],
    }


def test_a_password_is_kept_as_its_hash() -> None:
    rights = dynamic_security("mynah", PASSWORDS)
    for user in rights["clients"]:
        salt = base64.b64decode(user["salt"])
        expected = hashlib.pbkdf2_hmac("sha512", PASSWORDS[user["username"]].encode(), salt, user["iterations"])
        assert base64.b64decode(user["password"]) == expected
    written = json.dumps(rights)
    assert not any(password in written for password in PASSWORDS.values())


def test_two_users_with_one_password_do_not_show_it() -> None:
    one, other = dynamic_security("mynah", dict.fromkeys(PASSWORDS, "the same"))["clients"]
    assert one["salt"] != other["salt"]
    assert one["password"] != other["password"]


def test_the_same_salt_gives_the_same_configuration() -> None:
    assert dynamic_security("mynah", PASSWORDS, bytes) == dynamic_security("mynah", PASSWORDS, bytes)


@pytest.mark.parametrize("role", dynamic_security("mynah", {})["roles"], ids=lambda role: role["rolename"])
def test_no_rule_stands_twice(role: dict[str, list[dict[str, str]]]) -> None:
    # The plugin keeps the first of two rules of a type for one topic, whatever the second says.
    assert max(Counter((acl["acltype"], acl["topic"]) for acl in role["acls"]).values()) == 1


def test_every_topic_is_below_the_base() -> None:
    for base in ("mynah", "home/voice"):
        for role in dynamic_security(base, {})["roles"]:
            for acl in role["acls"]:
                topic = acl["topic"].removeprefix(f"$share/{role['rolename']}/")
                assert topic.startswith(f"{base}/")


@pytest.mark.parametrize("base", ["", "#", "a/#", "+", "$SYS", "$share/x", "a/", "/a", "a//b", "A", "a b", "%u", "a\n"])
def test_a_base_cannot_widen_the_rights(base: str) -> None:
    with pytest.raises(ValueError, match="cannot stand before a topic"):
        dynamic_security(base, {})
