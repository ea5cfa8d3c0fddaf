"""The board as one thing: its routes, and what an app needs around them."""

from fastapi import APIRouter, FastAPI

from services.projections.board.door import Door, door_routes
from services.projections.board.pages import asset_routes, page_routes
from services.projections.board.site import Site
from services.projections.board.wrongs import show_problems_as_pages


def board_routes(site: Site) -> APIRouter:
    """All endpoints."""
    router = APIRouter()
    for each in (page_routes, door_routes, asset_routes):
        router.include_router(each(site))
    return router


def open_board(app: FastAPI, site: Site) -> None:
    """Let browsers in to an app that has these routes."""
    show_problems_as_pages(app, site)
    app.add_middleware(Door)
