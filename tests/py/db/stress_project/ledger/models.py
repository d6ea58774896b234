from django.db import models


class Account(models.Model):
    balance = models.IntegerField()


class Entry(models.Model):
    """Of every transfer there are two, whose amounts sum to zero."""

    account = models.ForeignKey(Account, models.CASCADE)
    amount = models.IntegerField()
    marker = models.CharField(max_length=20)


class Note(models.Model):
    """What a request has come to: "began", "committed"; "undone" must never be seen."""

    marker = models.CharField(max_length=20)
    kind = models.CharField(max_length=20)
