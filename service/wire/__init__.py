"""Other protocols to the outside: DICOMweb over HTTP."""
