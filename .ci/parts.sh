# shellcheck shell=bash
# Sourced by scripts that run in parts: tells which part runs, and at the end the minutes of each.

parts=()

# part NAME COMMAND...
part() {
  printf '\n== %s\n' "$1"
  running=$1
  running_since=$SECONDS
  "${@:2}"
  part_over
}

part_over() {
  local tenths=$(((SECONDS - running_since + 3) / 6))
  parts+=("$((tenths / 10)).$((tenths % 10)) min  $running${1:-}")
  running=
}

# The parts that ran, the one that failed among them.
print_parts() {
  [[ -z ${running:-} ]] || part_over ': failed'
  printf '\n'
  printf '%s\n' "${parts[@]}"
}
