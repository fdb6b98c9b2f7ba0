"""A fast folder for stores."""

from tests.storage.conftest import folder as folder
