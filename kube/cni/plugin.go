package cni

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/cni/pkg/version"
)

// DefaultSocket is where the agent listens unless it is told otherwise.
const DefaultSocket = "/run/orrery/agent.sock"

// patience is how long the plugin waits for the agent. Runtimes give up after some
// minutes.
const patience = 90 * time.Second

// configuration of the plugin.
type configuration struct {
	types.PluginConf
	// Socket of the agent.
	Socket string `json:"socket,omitempty"`
}

// Plugin is the functions of a CNI plugin.
func Plugin() skel.CNIFuncs {
	return skel.CNIFuncs{
		Add: pluginAdd, Del: pluginDelete, Check: pluginCheck, GC: pluginCollect, Status: pluginStatus,
	}
}

// Versions of the CNI specification that the plugin speaks.
func Versions() version.PluginInfo {
	return version.PluginSupports("0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")
}

// read gives the configuration and the request of a call.
func read(c Command, args *skel.CmdArgs) (*configuration, Request, error) {
	conf := new(configuration)
	if err := json.Unmarshal(args.StdinData, conf); err != nil {
		return nil, Request{}, types.NewError(types.ErrDecodingFailure, "the network configuration is no JSON object of a plugin", err.Error())
	}
	if conf.Socket == "" {
		conf.Socket = DefaultSocket
	}
	if !filepath.IsAbs(conf.Socket) {
		return nil, Request{}, types.NewError(types.ErrInvalidNetworkConfig,
			fmt.Sprintf("network %s: the agent's socket %q is no absolute path; write one, or leave \"socket\" out for %s", conf.Name, conf.Socket, DefaultSocket), "")
	}
	if err := version.ParsePrevResult(&conf.PluginConf); err != nil {
		return nil, Request{}, types.NewError(types.ErrDecodingFailure, "the previous plugin's result", err.Error())
	}
	r := Request{
		Command: c, Network: conf.Name, Namespace: args.Netns,
		Attachment: Attachment{args.ContainerID, args.IfName}, Pod: podOf(args.Args),
	}
	for _, v := range conf.ValidAttachments {
		r.Valid = append(r.Valid, Attachment{v.ContainerID, v.IfName})
	}
	return conf, r, nil
}

// podOf reads what runtimes of Kubernetes say in CNI_ARGS.
func podOf(args string) (p Pod) {
	for pair := range strings.SplitSeq(args, ";") {
		key, value, _ := strings.Cut(pair, "=")
		switch key {
		case "K8S_POD_NAMESPACE":
			p.Namespace = value
		case "K8S_POD_NAME":
			p.Name = value
		case "K8S_POD_UID":
			p.UID = value
		}
	}
	return p
}

func ask(conf *configuration, r Request) (Result, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	result, err := Ask(ctx, conf.Socket, r)
	if err == nil {
		return result, nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return Result{}, types.NewError(e.Code, e.Message, e.Details)
	}
	// All else may be over in a moment: the agent is updated, or is starting.
	return Result{}, &away{types.NewError(types.ErrTryAgainLater, err.Error(), ""), err}
}

// away says that the agent could not be asked.
type away struct {
	told  *types.Error
	cause error
}

func (a *away) Error() string { return a.told.Error() }
func (a *away) Unwrap() error { return a.cause }

// plainly gives skel its own type of error.
func plainly(err error) error {
	if a, ok := errors.AsType[*away](err); ok {
		return a.told
	}
	return err
}

func pluginAdd(args *skel.CmdArgs) error {
	conf, r, err := read(Add, args)
	if err != nil {
		return err
	}
	own, err := ask(conf, r)
	if err != nil {
		return plainly(err)
	}
	result := &types100.Result{CNIVersion: types100.ImplementedSpecVersion}
	if conf.PrevResult != nil {
		if result, err = types100.NewResultFromResult(conf.PrevResult); err != nil {
			return types.NewError(types.ErrDecodingFailure, "the previous plugin's result", err.Error())
		}
	}
	if err := extend(result, own, args.Netns); err != nil {
		return err
	}
	return types.PrintResult(result, conf.CNIVersion)
}

// extend adds interfaces to a result. One that is there already is another plugin's, and
// was not made by the agent.
func extend(result *types100.Result, own Result, sandbox string) error {
	for _, i := range own.Interfaces {
		at := slices.IndexFunc(result.Interfaces, func(o *types100.Interface) bool { return o.Name == i.Name && o.Sandbox == sandbox })
		if at < 0 {
			at = len(result.Interfaces)
			result.Interfaces = append(result.Interfaces, &types100.Interface{Name: i.Name, Mac: i.MAC, Mtu: i.MTU, Sandbox: sandbox})
		} else if i.Name != "lo" {
			return types.NewError(types.ErrInvalidNetworkConfig,
				fmt.Sprintf("another plugin has made the interface %s, which is a port of the scenario, too; give that one another name", i.Name), "")
		}
		for _, a := range i.Addresses {
			if !a.IsValid() {
				return types.NewError(types.ErrDecodingFailure, fmt.Sprintf("the node agent gives %s an address that is none", i.Name), "")
			}
			result.IPs = append(result.IPs, &types100.IPConfig{
				Interface: types100.Int(at),
				Address:   net.IPNet{IP: a.Addr().AsSlice(), Mask: net.CIDRMask(a.Bits(), a.Addr().BitLen())},
			})
		}
	}
	return nil
}

func pluginDelete(args *skel.CmdArgs) error {
	conf, r, err := read(Delete, args)
	if err != nil {
		return err
	}
	_, err = ask(conf, r)
	if errors.Is(err, ErrAway) {
		// Nothing of the agent's holds the namespace: the ports end with it, and the agent
		// forgets the container when it finds the namespace gone.
		return nil
	}
	return plainly(err)
}

func pluginCheck(args *skel.CmdArgs) error {
	conf, r, err := read(Check, args)
	if err != nil {
		return err
	}
	if conf.PrevResult == nil {
		return types.NewError(types.ErrInvalidNetworkConfig, "CHECK needs the result of ADD as prevResult", "")
	}
	previous, err := types100.NewResultFromResult(conf.PrevResult)
	if err != nil {
		return types.NewError(types.ErrDecodingFailure, "the result of ADD", err.Error())
	}
	r.Expected = new(Result)
	for _, i := range previous.Interfaces {
		if i.Sandbox == args.Netns {
			r.Expected.Interfaces = append(r.Expected.Interfaces, Interface{Name: i.Name, MAC: i.Mac, MTU: i.Mtu})
		}
	}
	_, err = ask(conf, r)
	return plainly(err)
}

func pluginCollect(args *skel.CmdArgs) error {
	conf, r, err := read(GC, args)
	if err != nil {
		return err
	}
	_, err = ask(conf, r)
	return plainly(err)
}

func pluginStatus(args *skel.CmdArgs) error {
	conf, r, err := read(Status, args)
	if err != nil {
		return err
	}
	_, err = ask(conf, r)
	if a, ok := errors.AsType[*away](err); ok {
		code := CodeNotAvailable
		if errors.Is(err, ErrAway) {
			code = CodeLimited // and nobody carries frames
		}
		return types.NewError(code, a.told.Msg, a.told.Details)
	}
	return err
}
