"""The database cases: one data set, and the same answers on every stack that can give them."""
