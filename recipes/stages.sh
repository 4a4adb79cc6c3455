# What the recipes' run.sh share: their options, and stages by number. To be sourced:
#
#   stage=0 stop_stage=3 conf=$here/conf/base.yml   # the defaults
#   own_option() { ...; }                           # optional: an option of this recipe alone; sets taken to its words
#   source "$here/../stages.sh"
#
# Afterwards conf, exp_dir, stage, stop_stage, smoke and dry_run are set, args holds --section.key VALUE ..., and the
# configuration has been checked. --dry_run prints the commands of the stages and runs none.
recipes=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
exp_dir= smoke= dry_run= overwrite= args=()
declare -F own_option > /dev/null || own_option() { return 1; }

training_option() {  # the option of recipes that train, for their own_option
    [ "$1" = --overwrite ] && overwrite=--overwrite taken=1
}

while [ $# -gt 0 ]; do
    case $1 in
        --conf) conf=$2; shift 2 ;;
        --exp_dir) exp_dir=$2; shift 2 ;;
        --stage) stage=$2; shift 2 ;;
        --stop_stage) stop_stage=$2; shift 2 ;;
        --dry_run) dry_run=yes; shift ;;
        --smoke) smoke=yes conf=$here/conf/smoke.yml; shift ;;
        -h | --help) sed -n '2,/^set/p' "$0" | sed '$d; s/^# \{0,1\}//'; exit 0 ;;
        *) if own_option "$@"; then shift "$taken"; else args+=("$1"); shift; fi ;;
    esac
done
exp_dir=${exp_dir:-exp/$(basename "$conf" .yml)}

run() {  # run NUMBER NAME COMMAND...
    if [ "$1" -ge "$stage" ] && [ "$1" -le "$stop_stage" ]; then
        printf '\n== Stage %s: %s\n   %s\n' "$1" "$2" "${*:3}"
        [ -n "$dry_run" ] || "${@:3}"
    fi
}

one_network() {  # stages 1 to 3 of one network
    run 1 "Train" hiersep train "$conf" --exp-dir "$exp_dir" $overwrite ${args[@]+"${args[@]}"}
    local trained=("$exp_dir/conf.yml" "$exp_dir/best.safetensors")
    run 2 "Separate a held-out song" python "$recipes/separate.py" "${trained[@]}" "$exp_dir/song"
    run 3 "Evaluate on clips of held-out songs" python "$recipes/evaluate.py" "${trained[@]}" "$exp_dir"
}

python "$recipes/check.py" "$conf" ${args[@]+"${args[@]}"}
