package router

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"orrery.dev/orrery/scenario"
)

// FRR has moved the settings of its daemons into one of them, mgmtd, bit by bit:
// those of staticd with version 9, those of zebra with version 10. mgmtd's
// sockets lie at one place of the host, so nodes cannot have one each, and what
// it holds is not set here. Without zebra's settings IS-IS and OSPF work as they
// should; BGP without numbers needs the router advertisements that they ask for,
// and static routes are nothing else.
var managedSince = map[string]int{Static: 9, BGP: 10}

// managed tells whether a protocol needs settings that this version of FRR
// takes from mgmtd.
func managed(version, protocol string) bool {
	first, ok := managedSince[protocol]
	major, err := strconv.Atoi(strings.SplitN(version, ".", 2)[0])
	return ok && err == nil && major >= first
}

// checkManaged refuses an entry for FRR whose protocol this version cannot run.
func checkManaged(r scenario.Routing) error {
	if _, ok := managedSince[r.Protocol]; !ok {
		return nil
	}
	version, err := Version(context.Background(), FRR)
	if err != nil {
		return err
	}
	if managed(version, r.Protocol) {
		return fmt.Errorf("routing: protocol %s: FRR %s takes the settings that it needs from mgmtd, which is not started here; use FRR before %d, or another protocol or daemon", r.Protocol, version, managedSince[r.Protocol])
	}
	return nil
}
