"""Pictures and pages: only here drawing and PDF libraries are used."""
