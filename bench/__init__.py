"""The bench: Quintette beside its peers and the limits of the machine (``make bench``)."""
