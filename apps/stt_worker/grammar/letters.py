"""English letters to sounds, for names that no dictionary holds.

Rules are tried in order at each place of the word; the first that fits gives the sounds (ARPAbet without stress)
and how many letters they take. A guess is right enough to be recognised, not to be spoken.
"""

import re

_V = "[aeiouy]"
_C = "[bcdfghjklmnpqrstvwxz]"
_MAGIC_E = "(?=[bcdfgjklmnpstvz]e[sd]?$)"
_OPEN = f"(?={_C}(?:[aeiou]|y$|ly$))"

_RULES = tuple(
    (re.compile(pattern), tuple(sounds.split()))
    for pattern, sounds in (
        # at the start or the end of a word
        (r"^(?:kn|gn|pn)", "N"),
        (r"^wr", "R"),
        (r"^ps", "S"),
        (r"^x", "Z"),
        (r"^mc", "M AH K"),
        (r"^rh", "R"),
        (r"mb$", "M"),
        (r"(?<=[aeiou])gh(?=t)", ""),
        (r"igh", "AY"),
        (r"(?<=[sxz])es$|(?<=ch)es$|(?<=sh)es$", "IH Z"),
        (r"(?<=[td])ed$", "IH D"),
        (r"(?<=[pkfsxc])ed$|(?<=[cs]h)ed$", "T"),
        (r"(?<=..)ed$", "D"),
        (r"(?<=[ptkf])s$", "S"),
        (r"(?<=[^s])s$", "Z"),
        (r"(?<=[bcdfgkptz])le$", "AH L"),
        (r"(?<=[bcdfgkptz])les$", "AH L Z"),
        (r"tions$", "SH AH N Z"),
        (r"[st]sion|[ts]ion", "SH AH N"),
        (r"cian", "SH AH N"),
        (r"[ct]ious", "SH AH S"),
        (r"[ct]ial", "SH AH L"),
        (r"ture", "CH ER"),
        (r"sure$", "ZH ER"),
        (r"ous$", "AH S"),
        (r"age$", "IH JH"),
        (r"ing", "IH NG"),
        (r"ism$", "IH Z AH M"),
        (r"que$", "K"),
        (r"gue(?=s?$)", "G"),
        # consonants
        (r"tch", "CH"),
        (r"sch", "SH"),
        (r"chr", "K R"),
        (r"ch", "CH"),
        (r"ck", "K"),
        (r"sc(?=[eiy])", "S"),
        (r"sh", "SH"),
        (r"ph", "F"),
        (r"th", "TH"),
        (r"wh", "W"),
        (r"dge", "JH"),
        (r"dg", "JH"),
        (r"gh(?=[aeiou])", "G"),
        (r"gh", ""),
        (r"gn(?=$|s$)", "N"),
        (r"gg", "G"),
        (r"g(?=[eiy])", "JH"),
        (r"cc(?=[eiy])", "K S"),
        (r"cc", "K"),
        (r"c(?=[eiy])", "S"),
        (r"qu", "K W"),
        (r"ng(?=$|s$)", "NG"),
        (r"n(?=[kg](?![eiy]))", "NG"),
        (r"n(?=x)", "NG"),
        (r"ss", "S"),
        (r"(?<=[aeiou])s(?=e$|es$)", "Z"),
        (r"x", "K S"),
        (r"tz", "T S"),
        (r"([bdfklmnprtvz])(?=\1)", ""),
        (r"w(?=r)", ""),
        # vowels before r
        (r"(?:air|are$|ear$|eir)", "EH R"),
        (r"eer|ier$|ere$", "IH R"),
        (r"arr(?=[aeiouy])", "AE R"),
        (r"(?<=w)ar", "AO R"),
        (r"ar", "AA R"),
        (r"(?:oar|oor|our|ore|or)(?=.)", "AO R"),
        (r"ore$|or$(?<=^.or)", "AO R"),
        (r"(?<=..)(?:or|er|ar|re)$", "ER"),
        (r"ire", "AY ER"),
        (r"ure", "Y UH R"),
        (r"(?:er|ir|ur)(?=[aeiouy])", "ER"),
        (r"(?:er|ir|ur|yr)", "ER"),
        # vowels together
        (r"eau", "OW"),
        (r"(?:ai|ay|ei|ey)(?=.)", "EY"),
        (r"ay$", "EY"),
        (r"ey$", "IY"),
        (r"ie$", "IY"),
        (r"ies$", "IY Z"),
        (r"ie", "IY"),
        (r"(?:ee|ea)", "IY"),
        (r"(?:au|aw)", "AO"),
        (r"ew|eu", "UW"),
        (r"oa|oe$", "OW"),
        (r"oi|oy", "OY"),
        (r"ook", "UH K"),
        (r"oo", "UW"),
        (r"ould", "UH D"),
        (r"ou|ow(?=[nld])", "AW"),
        (r"ow", "OW"),
        (r"ue$", "UW"),
        (r"ui", "UW"),
        (r"ia$", "IY AH"),
        (r"io$", "IY OW"),
        (r"i(?=[aou])", "IY"),
        (r"all", "AO L"),
        # single vowels: long before a silent e, open at the end of a name, else short
        (rf"a{_MAGIC_E}", "EY"),
        (rf"i{_MAGIC_E}", "AY"),
        (rf"o{_MAGIC_E}", "OW"),
        (rf"u{_MAGIC_E}", "UW"),
        (rf"e{_MAGIC_E}", "IY"),
        (r"y(?=[bcdfgjklmnpstvz]e$)", "AY"),
        (r"i(?=nd$|ld$)", "AY"),
        (r"o(?=ld|st$|ll$|lt)", "OW"),
        (rf"(?<={_C})e(?=$|s$|ly$|ment)(?<!^.e)(?<!^..e)", ""),
        (r"e$", "IY"),
        (r"a$", "AH"),
        (r"i$", "IY"),
        (r"os$", "OW S"),
        (r"o$", "OW"),
        (r"u$", "UW"),
        (r"^y|y(?=[aeiou])", "Y"),
        (rf"(?<=^{_C})y$|(?<=^{_C}{_C})y$", "AY"),
        (r"y$", "IY"),
        (r"y", "IH"),
        (r"^a(?=[bcdfglmnprst]\w)(?!..?$)", "AE"),
        (rf"(?<=..)a(?={_C}(?:$|{_V}))", "AH"),
        (rf"(?<=^{_C})o{_OPEN}", "OW"),
        (rf"(?<=^{_C})u{_OPEN}", "UW"),
        (r"a", "AE"),
        (r"e(?=[nlm](?:$|[ts]$))(?<=...)", "AH"),
        (r"e", "EH"),
        (r"i", "IH"),
        (r"(?<=..)o(?=[nm](?:$|s$))", "AH"),
        (r"o", "AA"),
        (r"u", "AH"),
        # what is left sounds as it is written
        (r"b", "B"),
        (r"c", "K"),
        (r"d", "D"),
        (r"f", "F"),
        (r"g", "G"),
        (r"h", "HH"),
        (r"j", "JH"),
        (r"k", "K"),
        (r"l", "L"),
        (r"m", "M"),
        (r"n", "N"),
        (r"p", "P"),
        (r"q", "K"),
        (r"r", "R"),
        (r"s", "S"),
        (r"t", "T"),
        (r"v", "V"),
        (r"w", "W"),
        (r"z", "Z"),
    )
)


def guess(word: str) -> str:
    """How a word of the letters a to z is probably pronounced; other characters are silent."""
    sounds: list[str] = []
    place = 0
    while place < len(word):
        matches = ((pattern.match(word, place), heard) for pattern, heard in _RULES)
        match, heard = next(((match, heard) for match, heard in matches if match), (None, ()))
        sounds += heard
        place = match.end() if match else place + 1
    return " ".join(sounds)
