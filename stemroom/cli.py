"""The command line. Exit codes: 0 done, 1 it failed while starting or running, 2 the configuration cannot be used."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from stemroom import __version__
from stemroom.config import Config, ConfigError, load
from stemroom.journal_command import journal
from stemroom.logs import configure

app = typer.Typer(
    help="A self-hosted recording studio for remote conversations.", no_args_is_help=True, add_completion=False
)
app.add_typer(journal, name="journal")

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="Configuration file. Default: config.toml here, if there is one."),
]


def _load(file: Path | None) -> Config:
    try:
        return load(file)
    except ConfigError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None


@app.command()
def serve(config: ConfigFile = None) -> None:
    """Run the studio until SIGTERM or SIGINT."""
    from stemroom.app import StartError, run

    settings = _load(config)
    configure(settings.log.level)
    try:
        asyncio.run(run(settings, announce=typer.echo))
    except StartError as error:
        typer.echo(f"stemroom cannot start: {error}", err=True)
        raise typer.Exit(1) from None


@app.command()
def migrate(config: ConfigFile = None) -> None:
    """Bring the database to this version's tables. `serve` does it too."""
    from stemroom.app import StartError, migrate_database

    settings = _load(config)
    configure(settings.log.level)
    try:
        typer.echo(asyncio.run(migrate_database(settings)))
    except StartError as error:
        typer.echo(f"the database was not migrated: {error}", err=True)
        raise typer.Exit(1) from None


@app.command("check-config")
def check_config(config: ConfigFile = None) -> None:
    """Say what is wrong with the configuration, without starting anything."""
    from stemroom.app import StartError, tls_context

    settings = _load(config)
    try:
        tls_context(settings.http)
    except StartError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    typer.echo(f"The configuration is good. Data folder: {settings.data.folder}")


@app.command()
def recover(
    journals: Annotated[
        list[Path] | None, typer.Argument(exists=True, dir_okay=False, help="Journals of tracks, seg_....")
    ] = None,
    into: Annotated[
        Path | None, typer.Option(file_okay=False, help="With journals: a folder for the files; made if needed.")
    ] = None,
    from_store: Annotated[
        str | None, typer.Option(metavar="RECORDING", help="Finish a lost machine's recording from the object store.")
    ] = None,
    recording: Annotated[str | None, typer.Option(metavar="RECORDING", help="Only this one of the spool.")] = None,
    config: ConfigFile = None,
) -> None:
    """Finish what is in the spool, while the studio does not run: files, reports and manifests, as the recorder does.

    With journals and --into, make their files again; neither they nor what is stored is touched. With --from-store,
    finish a recording whose machine is lost.
    """
    from stemroom import recover_command

    settings = _load(config)
    try:
        if journals and into is not None and from_store is None and recording is None:
            recover_command.from_journals(settings.recorder, journals, into, typer.echo)
        elif journals or into is not None or (from_store is not None and recording is not None):
            raise typer.BadParameter("either journals and --into, or --from-store, or --recording, or nothing")
        elif from_store is not None:
            recover_command.from_store(settings, from_store, typer.echo)
        else:
            recover_command.from_spool(settings, recording, typer.echo)
    except recover_command.RecoverError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)
