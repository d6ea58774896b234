from rest_framework import serializers

from library.models import Author, Book, Cover


class AuthorSerializer(serializers.HyperlinkedModelSerializer):
    books = serializers.HyperlinkedRelatedField("book-detail", many=True, read_only=True)

    class Meta:
        model = Author
        fields = ["url", "id", "name", "books"]


class BookSerializer(serializers.HyperlinkedModelSerializer):
    owner = serializers.ReadOnlyField(source="owner.username")

    class Meta:
        model = Book
        fields = ["url", "id", "title", "author", "year", "price", "owner"]

    def validate_year(self, year: int) -> int:
        if year < 1450:
            raise serializers.ValidationError("Books are not printed before 1450.")
        return year


class CoverSerializer(serializers.ModelSerializer):
    class Meta:
        model = Cover
        fields = ["id", "book", "image"]
