"""Which addresses may be called, and that others verify what is signed here."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import uuid4

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook as Independent
from standardwebhooks import WebhookVerificationError

from cbi.webhook import (
    PAUSES_SECONDS,
    again_at,
    body_of,
    headers,
    is_public,
    secret_text,
    signature,
    url_fault,
)

NOW = datetime.now(UTC)


@given(st.binary(min_size=32, max_size=32), st.integers(0, 10**6))
def test_an_independent_implementation_verifies_what_is_signed(secret, waiting):
    notice_id, now = uuid4(), datetime.now(UTC)
    body = body_of("cases.waiting", {"waiting": waiting, "overdue": 0}, made_at=now)
    sent = headers(secret, notice_id=notice_id, at=now, body=body)
    verified = Independent(secret_text(secret)).verify(body, sent)
    assert verified["data"]["waiting"] == waiting
    for other in (
        {**sent, "webhook-id": str(uuid4())},
        {**sent, "webhook-timestamp": str(int(now.timestamp()) + 1)},
    ):
        with pytest.raises(WebhookVerificationError):
            Independent(secret_text(secret)).verify(body, other)
    with pytest.raises(WebhookVerificationError):
        Independent(secret_text(secret)).verify(body + b" ", sent)


def test_the_signature_is_that_of_the_specifications_example():
    # https://github.com/standard-webhooks/standard-webhooks: the libraries' shared test vector.
    secret = msgspec.json.decode(b'"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"', type=bytes)
    made = signature(
        secret,
        webhook_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        seconds=1614265330,
        body=b'{"test": 2432232314}',
    )
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.9.1", "0.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1",
        "169.254.169.254", "100.64.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1",
        "255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1",
        "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::1",
        "2002:7f00:1::", "2001::1", "2001:db8::1", "no address", "", "fe80::1%eth0",
    ],
)  # fmt: skip
def test_no_address_of_a_private_network_is_public(address):
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111"])
def test_addresses_of_the_public_network_are(address):
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "", "http://hooks.example/", "ftp://hooks.example/", "https://", "https:///x",
        "https://user@hooks.example/", "https://user:pw@hooks.example/", "https://hooks.example/#x",
        "https://127.0.0.1/", "https://[::1]/", "https://169.254.169.254/latest",
        "https://10.0.0.1/", "https://[::ffff:10.0.0.1]/", "https://hooks.example:99999/",
        "https://hooks.example:x/", "https://hooks example/", "https://hooks.example/\n",
        "https://hooks.example\\@127.0.0.1/", "https://[::1", "https://ñandú.example/",
        "https://hooks.example/" + "x" * 500, "file:///etc/passwd", "http://127.0.0.1/",
        "http://localhost/",
    ],
)  # fmt: skip
def test_an_address_that_may_not_be_called_is_refused_when_it_is_given(url):
    assert url_fault(url, local=False) is not None


@pytest.mark.parametrize("url", ["https://hooks.example/", "https://hooks.example:8443/a?b=c"])
def test_an_https_address_is_taken(url):
    assert url_fault(url, local=False) is None


@pytest.mark.parametrize(
    ("url", "is_taken"),
    [
        ("http://127.0.0.1:9000/x", True),
        ("http://localhost:9000/", True),
        ("http://[::1]:9000/", True),
        ("http://10.0.0.1/", False),
        ("https://192.168.0.1/", False),
        ("http://hooks.example/", False),
    ],
)
def test_development_allows_this_machine_and_no_other_network(url, is_taken):
    assert (url_fault(url, local=True) is None) is is_taken


@given(st.text() | st.builds("https://{}".format, st.text()))
def test_any_text_is_an_address_or_is_refused(url):
    for local in (False, True):
        fault = url_fault(url, local=local)
        assert fault is None or fault


def test_pauses_grow_and_end_within_a_day():
    times = [NOW]
    for attempt_no in range(1, 30):
        then = again_at(attempt_no, at=times[-1])
        if then is None:
            break
        times.append(then)
    assert len(times) == len(PAUSES_SECONDS) + 1
    pauses = [later - sooner for sooner, later in pairwise(times)]
    assert pauses == sorted(pauses)
    assert times[-1] - NOW < timedelta(days=1)
