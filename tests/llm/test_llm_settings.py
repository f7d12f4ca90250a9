"""Settings of a teacher: what may be a key or hold a password is refused, and is not shown."""

import pytest

from limbeck.errors import LimbeckError
from limbeck.llm.endpoint import completions_url
from limbeck.llm.settings import TeacherSettings

SECRET = "Hunter2hunter"  # in every value that is refused below
KEYS = ["sk-{}", "sk-proj-{}_x", "gsk_{}", "hf_{}", "{}", "AIza{}", "SK-{}", "X_{}", "OPENAI_API_KEY {}", "{}\nKEY"]
URLS = [
    "https://me:{}@host/v1",
    "https://{}@host/v1",
    "https://:{}@host/v1",
    "http://host/v1?key={}",
    "http://host/v1#{}",
    "me:{}@host/v1",  # malformed, in one way or another
    "https:/me:{}@host/v1",
    "https//me:{}@host/v1",
    "ftp://me:{}@host/v1",
    "http://me:{}@[host/v1",
    "http://me:{}@/v1",
    "https://me:{}@host:port/v1",
    "https://me:{}@host:99999/v1",
    " https://me:{}@host/v1",
    "https://me:{}@ho st/v1",
    "https://me:{}@\u2100.example/v1",
]


def refusal(**values) -> str:
    with pytest.raises(LimbeckError) as raised:
        TeacherSettings.parse({"name": "m"} | values, "annotate.yaml")
    assert raised.value.__cause__ is None
    return str(raised.value)


@pytest.mark.parametrize("key", KEYS)
def test_a_key_where_a_variables_name_belongs_is_not_shown(key):
    said = refusal(key=key.format(SECRET))
    assert said == "annotate.yaml: key: the name of an environment variable was expected, like OPENAI_API_KEY"


@pytest.mark.parametrize("url", URLS)
def test_an_address_that_holds_a_password_is_not_shown(url, monkeypatch):
    said = refusal(base_url=url.format(SECRET))
    assert said.startswith("annotate.yaml: base_url: ")
    assert "was expected" in said
    monkeypatch.setenv("OPENAI_BASE_URL", url.format(SECRET))
    with pytest.raises(LimbeckError) as raised:
        completions_url(TeacherSettings(name="m"))
    for text in (said, str(raised.value)):
        assert "unter2" not in text.casefold()
        assert "\n" not in text
    assert str(raised.value).startswith("$OPENAI_BASE_URL: ")


@pytest.mark.parametrize("wrong", [{"batch_size": 0}, {"base_url": f"https://me:{SECRET}@host", "workers": "x"}])
def test_another_mistake_beside_it_does_not_show_it(wrong):
    assert SECRET not in refusal(key=f"sk-{SECRET}", **wrong)
    assert SECRET not in refusal(api_key=f"sk-{SECRET}", **wrong)


def test_what_is_well_formed_is_taken():
    settings = TeacherSettings(name="m", key="MY_KEY_2", base_url="http://[::1]:8000/v1/")
    assert (settings.key, settings.base_url) == ("MY_KEY_2", "http://[::1]:8000/v1")
