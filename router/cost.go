package router

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"strings"
)

// LastChoice is the cost of a link that is to be used only if there is no way
// without it (RFC 6987, section 2): the highest that the protocol counts.
const LastChoice = math.MaxInt32

// SetCosts makes a running daemon use the costs of in's ports, and its
// configuration file say so for its next start. Nothing else may differ from
// the Input that the daemon was started with. Protocols without costs ignore it.
func SetCosts(ctx context.Context, in Input) error {
	out, err := Render(in)
	if err != nil {
		return err
	}
	var command string
	switch in.Routing.Protocol {
	case ISIS:
		command = "isis metric"
	case OSPF3:
		command = "ipv6 ospf6 cost"
	case OSPF2:
		command = "ip ospf cost"
	default:
		return nil
	}
	if err := Write(in.Dir, out); err != nil {
		return err
	}
	if out.Daemon == BIRD {
		if answer, err := askBIRD(ctx, filepath.Join(in.Dir, "bird.ctl"), "configure"); err != nil {
			return fmt.Errorf("node %s: set costs: %w: %s", in.Name, err, strings.Join(answer, "; "))
		}
		return nil
	}
	commands := []string{"configure terminal"}
	for _, l := range in.Ports {
		commands = append(commands, "interface "+l.Name, fmt.Sprintf("%s %d", command, cost(in.Routing.Protocol, l.Cost)), "exit")
	}
	commands = append(commands, "end")
	if _, err := askFRR(ctx, filepath.Join(in.Dir, speaker(in.Routing.Protocol)+".vty"), commands...); err != nil {
		return fmt.Errorf("node %s: set costs: %w", in.Name, err)
	}
	return nil
}

// cost is what a protocol can express of a cost; 0 means 10.
func cost(protocol string, c int) int {
	switch {
	case c <= 0:
		return 10
	case protocol == ISIS:
		return min(c, 1<<24-2) // the largest that counts (RFC 5305, section 3.7)
	default:
		return min(c, 1<<16-1) // 16 bits (RFC 2328, section A.4.2)
	}
}
