"""Encodings that only a text's letters tell: languages of many scripts, short and long, and what is thin."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nudgenet.data.guessing import SAMPLE, fitting, guess, sample_of

TEXTS = {
    "koi8-r": "Вчера вечером мы долго сидели на кухне и обсуждали новый фильм.",
    "cp1251": "Доставка пришла на два дня позже, чем обещали, но курьер был очень вежлив.",
    "cp1253": "Χθες το βράδυ καθίσαμε πολλή ώρα στην κουζίνα και συζητήσαμε για την ταινία.",
    "cp1254": "Sipariş söz verilenden iki gün geç geldi, fakat kurye çok kibardı; çantayı beğendim.",
    "cp1256": "جلسنا مساء أمس طويلا في المطبخ وتحدثنا عن الفيلم الجديد وأعجبني كثيرا.",
    "iso8859-2": "Wczoraj długo siedzieliśmy w kuchni; przesyłka przyszła później, niż obiecano, a rączka już odpadła.",
    "cp1250": "Zásilka přišla o dva dny později, než slíbili, ale kurýr byl velmi zdvořilý a příjemný.",
    "mac-roman": "Gestern Abend saßen wir lange in der Küche, und die Großmutter erzählte schöne Märchen für alle.",
    "cp1252": "Le colis est arrivé deux jours plus tard que promis, mais le livreur était très aimable.",
    "shift_jis": "荷物は約束より二日遅れて届きましたが、配達の人はとても親切でした。",
    "euc_jp": "昨日の夜、私たちは台所で長い間新しい映画について話しました。",
    "gb18030": "昨天晚上我们在厨房里坐了很久,谈论那部新电影。我很喜欢。",
    "big5": "昨天晚上我們在廚房裡坐了很久,談論那部新電影。我很喜歡。",
    "euc_kr": "어제 저녁 우리는 부엌에 오래 앉아 새 영화에 대해 이야기했습니다.",
}


@pytest.mark.parametrize("encoding", TEXTS)
@pytest.mark.parametrize("times", [1, 50])
def test_languages(encoding: str, times: int) -> None:
    text = f"{TEXTS[encoding]}\r\n" * times
    assert text.encode(encoding).decode(guess(text.encode(encoding))) == text


@pytest.mark.parametrize("name", ["Müller", "José", "Zoë", "Åsa", "20°", "5 €", "São", "“so”", "Straße", "Ibáñez"])
def test_a_single_western_word_in_a_table(name: str) -> None:
    table = "name,n\n" + "Smith,1\n" * 5_000 + f"{name},2\n"
    assert guess(table.encode("cp1252")) == "cp1252"


def test_rare_words_of_a_large_table_are_found() -> None:
    rows = "1,red,10\n" * 500_000  # 4.5 MB of ASCII before them
    table = (rows + "2,Москва,11\n3,Казань,12\n4,Самара,13\n").encode("koi8-r")
    assert guess(table) == "koi8-r"
    assert len(sample_of(table)) < 100


def test_what_does_not_fit_is_passed_over() -> None:
    """Bytes after the sample that the likeliest encoding has no letter for."""
    beginning = ("Zoë in Köln, José à Málaga\n" * (SAMPLE // 20)).encode("cp1252")
    assert guess(beginning) == "cp1252"
    assert guess(beginning + b"\x81") == "latin-1"


def test_a_letter_cut_off_at_the_end_fits() -> None:
    assert fitting(TEXTS["shift_jis"].encode("shift_jis")[:-1], "shift_jis") == "shift_jis"
    assert fitting("①".encode("cp932"), "shift_jis") == "cp932"
    assert fitting(b"\x81\x01", "shift_jis") is None


@given(st.binary(max_size=300))
def test_whatever_the_bytes_some_encoding_fits(data: bytes) -> None:
    assert fitting(data, guess(data)) is not None


@given(st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF), max_size=50), st.text(max_size=20))
def test_a_sample_cuts_no_letter_in_two(chinese: str, ascii: str) -> None:
    data = f"{ascii}\n{chinese}, {chinese}".encode("gb18030")
    assert [word for word in sample_of(data).decode("gb18030").split() if not word.isascii()].count(chinese) >= bool(
        chinese
    )
