package lab

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"
)

// accelerators of the emulator by their names: the host's processor (KVM), or a translation of every instruction.
var accelerators = map[string]string{"kvm": "kvm", "tcg": "tcg,thread=multi"}

// processor is what machines have. Hosts that are virtual themselves refuse to set the register behind this ability.
const processor = "max,arch-capabilities=off"

// kvmTrial is how long the firmware is run to see whether KVM can: what it cannot do comes with the first instructions.
const kvmTrial = 1500 * time.Millisecond

// Accelerator is "kvm" where this host has it and it works, else "tcg". Hosts that are virtual themselves may have a KVM that
// stops at an instruction of the firmware, and says so to nobody but its monitor; so the firmware is run for a moment.
var Accelerator = sync.OnceValue(func() string {
	f, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		return "tcg"
	}
	f.Close()
	if !runs("kvm", kvmTrial) {
		return "tcg"
	}
	return "kvm"
})

// runs says whether a machine without anything but firmware still runs after a time.
func runs(accelerator string, after time.Duration) bool {
	ctx, cancel := context.WithTimeout(context.Background(), after+10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, emulator, "-machine", "q35,smm=off", "-accel", accelerators[accelerator], "-cpu", processor, "-m", "256",
		"-nodefaults", "-no-user-config", "-display", "none", "-drive", "if=pflash,unit=0,format=raw,readonly=on,file="+firmwareCode, "-qmp", "stdio")
	in, err := cmd.StdinPipe()
	if err != nil {
		return false
	}
	out, err := cmd.StdoutPipe()
	if err != nil || cmd.Start() != nil {
		return false
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	if _, err := io.WriteString(in, `{"execute": "qmp_capabilities"}`); err != nil {
		return false
	}
	time.Sleep(after)
	if _, err := io.WriteString(in, `{"execute": "query-status"}`); err != nil {
		return false
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var answer struct {
			Return struct {
				Status  string
				Running bool
			}
		}
		if json.Unmarshal(lines.Bytes(), &answer) == nil && answer.Return.Status != "" {
			return answer.Return.Running
		}
	}
	return false
}
