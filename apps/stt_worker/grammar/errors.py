"""What can be wrong with a vocabulary.

VocabularyError          no grammar can be made of these intents
├── BadVocabulary        they are not a hassil intents dictionary
├── VocabularyTooLarge   they need more states than a grammar may have
└── SentenceTooLong      one of them is longer than a sentence may be
"""


class VocabularyError(Exception):
    """No grammar can be made of these intents."""


class BadVocabulary(VocabularyError):
    """The intents are not what `hassil.Intents.from_dict` takes."""


class VocabularyTooLarge(VocabularyError):
    """The sentences need more states than a grammar may have."""


class SentenceTooLong(VocabularyError):
    """A sentence is longer than a person says in one breath."""
