"""myoscreen: opportunistic measurement of the paraspinal muscles on MRI, as a DICOM service.

Research use only. Not a medical device; not for diagnosis.
"""

__version__ = "0.1.0"
