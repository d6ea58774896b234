import hashlib

from django.http import HttpRequest, StreamingHttpResponse
from rest_framework import filters, generics, status, viewsets
from rest_framework.decorators import action, api_view
from rest_framework.exceptions import ParseError
from rest_framework.parsers import FileUploadParser
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.throttling import ScopedRateThrottle
from rest_framework.views import APIView

from library.models import Author, Book, Cover
from library.serializers import AuthorSerializer, BookSerializer, CoverSerializer


class AuthorViewSet(viewsets.ModelViewSet):
    queryset = Author.objects.all()
    serializer_class = AuthorSerializer


class BookViewSet(viewsets.ModelViewSet):
    queryset = Book.objects.select_related("author")
    serializer_class = BookSerializer
    filter_backends = [filters.SearchFilter, filters.OrderingFilter]
    search_fields = ["title", "author__name"]
    ordering_fields = ["year", "title"]

    def perform_create(self, serializer: BaseSerializer) -> None:
        serializer.save(owner=self.request.user)

    @action(detail=True, methods=["post"], permission_classes=[IsAuthenticated])
    def discount(self, request: Request, pk: str) -> Response:
        book = self.get_object()
        book.price = (book.price or 0) / 2
        book.save()
        return Response(self.get_serializer(book).data)


class GuessView(APIView):
    throttle_classes = [ScopedRateThrottle]
    throttle_scope = "guesses"

    def get(self, request: Request) -> Response:
        return Response({"guess": request.query_params.get("guess")})


class ScanView(APIView):
    parser_classes = [FileUploadParser]

    def put(self, request: Request, filename: str) -> Response:
        file = request.data.get("file")
        if file is None:
            raise ParseError("The scan is empty.")
        digest = hashlib.sha256(file.read()).hexdigest()
        about = {"name": file.name, "size": file.size, "sha256": digest}
        return Response(about, status=status.HTTP_201_CREATED)


class CoverView(generics.ListCreateAPIView):
    queryset = Cover.objects.order_by("id")
    serializer_class = CoverSerializer
    pagination_class = None


@api_view(["GET"])
def broken(request: Request) -> Response:
    return Response({"of": 1 / int(request.query_params["by"])})


def report(request: HttpRequest) -> StreamingHttpResponse:
    books = Book.objects.values_list("title", flat=True)
    lines = (f"{title}\n" for title in books.iterator())
    return StreamingHttpResponse(lines, content_type="text/plain")
