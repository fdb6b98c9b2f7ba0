"""`meteragent complete`: a script with which a shell completes commands, options and their values.

cliff's own needs functions that not every bash has, knows neither values nor options before a command's name,
and fails in zsh.
"""

import argparse
import re
import shlex
from collections import defaultdict

from cliff.app import App
from cliff.command import Command

Offers = defaultdict[str, set[str]]
"""What is offered, by the words behind which it is."""

PLAIN = re.compile(r"[\w.:,+/%@-]+", re.ASCII)
"""What is offered; bash would run what stands in others, as ``compgen -W`` expands them."""
OF_COLUMNS = ("columns", "sort_columns")
"""Where cliff keeps the columns that are chosen."""
FOR_ZSH = """\
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }
autoload -Uz bashcompinit && bashcompinit
"""
SCRIPT = """\
_meteragent()
{{
  local current="${{COMP_WORDS[COMP_CWORD]}}" command="" before="" equals="" word="" offered="" prefix=""
  for word in "${{COMP_WORDS[@]:1:$((COMP_CWORD-1))}}"; do
    if [ "$word" = "=" ]; then equals="="; continue; fi
    case "$equals:$before" in
      =:*|{named}) ;;
      *)
        case "${{command:+$command }}$word" in
          help) ;;
          {commands}) command="${{command:+$command }}$word" ;;
        esac ;;
    esac
    before="$word" equals=""
  done
  if [ "$current" = "=" ]; then equals="=" current=""; fi
  case "$current" in
    --*=*) before="${{current%%=*}}" equals="="; prefix="$before=" current="${{current#*=}}" ;;
  esac
  case "$command:$before" in
    {named}) ;;
{values}
    *)
      case "$equals$command:$current" in
{options}
{words}
      esac ;;
  esac
  COMPREPLY=( $(compgen -P "$prefix" -W "$offered" -- "$current") )
}}
complete -o bashdefault -o default -F _meteragent meteragent
"""
"""Where it offers nothing, the shell offers files.

``--format=json`` is three words for bash: ``before`` stays the option, and only values are offered behind
``=``. For zsh, and where a person has taken = out of bash's COMP_WORDBREAKS, it is one, and so is what is
offered.
"""


class Complete(Command):
    """Print a script that lets the shell complete commands, options and values."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The parser of it."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--shell", choices=("bash", "zsh"), default="bash", help="whose it is, bash unless told otherwise"
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        """Print it."""
        self.app.stdout.write((FOR_ZSH if parsed_args.shell == "zsh" else "") + _script(self.app))
        return 0


def _script(program: App) -> str:
    options, values, words = Offers(set), Offers(set), Offers(set)
    for name, _ in program.command_manager:
        parts = name.split()
        factory, _, _ = program.command_manager.find_command(parts)
        command = factory(program, program.options, cmd_name=name)
        for action in command.get_parser(name)._actions:
            choices = getattr(command, "columns", ()) if action.dest in OF_COLUMNS else action.choices or ()
            options[name].update(action.option_strings)
            for place in (f"{name}:{option}" for option in action.option_strings):
                values[place].update(choices)
            if not action.option_strings:
                words[name].update(choices)
    for name in getattr(program.command_manager, "names", list)():  # those of plugins, too
        parts = name.split()
        for depth, part in enumerate(parts):
            words[" ".join(parts[:depth])].add(part)
    commands = {*options, *words} - {""}
    named: list[str] = []
    for action in program.parser._actions:
        named += action.option_strings if action.nargs != 0 else ()
        for name in ("", *commands):
            options[name].update(action.option_strings)
    return SCRIPT.format(
        named="|".join(f"*:{each}" for each in named),
        commands="|".join(shlex.quote(each) for each in sorted(commands)),
        values=_cases(values, "", 4),
        options=_cases(options, ":-*", 8),
        words=_cases(words, ":*", 8),
    )


def _cases(offers: Offers, ending: str, indent: int) -> str:
    """A line for each set of words that is offered."""
    places: dict[str, list[str]] = defaultdict(list)
    for place, offered in sorted(offers.items()):
        places[" ".join(sorted(filter(PLAIN.fullmatch, offered)))].append(shlex.quote(place) + ending)
    return "\n".join(
        f"{'':{indent}}{'|'.join(places[offered])}) offered={shlex.quote(offered)} ;;"
        for offered in sorted(places)
        if offered
    )
