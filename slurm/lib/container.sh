# shellcheck shell=bash
# job.sh: runs a command of a step in the container that MEDU1_CONTAINER names.

# in_container ARRAY COMMAND...: append what runs the command to the array, which begins with srun.
in_container() {
    local -n line=$1
    shift
    local mounts=$MEDU1_SLURM_DIR,$MEDU1_RUN_DIR,$MEDU1_SCRATCH,$SLURM_SUBMIT_DIR${MEDU1_MOUNTS:+,$MEDU1_MOUNTS}
    if [[ $MEDU1_CONTAINER =~ ^(apptainer|pyxis)$ && -z ${MEDU1_IMAGE:-} ]]; then
        fail "$EXIT_MISTAKE" "MEDU1_CONTAINER is $MEDU1_CONTAINER, and MEDU1_IMAGE names no image"
    fi
    case $MEDU1_CONTAINER in
    none)
        line+=("$@")
        ;;
    apptainer) # passes on the whole environment; --nv only warns if there is no GPU
        line+=(apptainer exec --nv --bind "$mounts" --pwd "$PWD" "$MEDU1_IMAGE" "$@")
        ;;
    pyxis) # passes on what the image does not set itself; --container-env names variables that override the image's
        local each each_mount pairs="" names
        names=$({
            compgen -e | grep -E '^(MEDU1|RAY|HF|NCCL|GLOO|TRANSFORMERS)_'
            [[ -z ${MEDU1_FORWARD:-} ]] || echo "${MEDU1_FORWARD//,/$'\n'}"
        } | sort -u | paste -sd ,)
        IFS=, read -ra each_mount <<<"$mounts"
        for each in "${each_mount[@]}"; do
            [[ $each == *:* ]] || each=$each:$each
            pairs+=${pairs:+,}$each
        done
        line+=(--container-image="$MEDU1_IMAGE" --container-mounts="$pairs" --container-workdir="$PWD"
               --container-env="$names" --no-container-mount-home "$@")
        ;;
    *)
        fail "$EXIT_MISTAKE" "MEDU1_CONTAINER is $MEDU1_CONTAINER; give none, apptainer or pyxis"
        ;;
    esac
}
