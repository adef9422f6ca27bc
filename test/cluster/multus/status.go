package main

import (
	"fmt"

	"github.com/containernetworking/cni/pkg/types"
	current "github.com/containernetworking/cni/pkg/types/100"
)

const (
	networksAnnotation = "k8s.v1.cni.cncf.io/networks"
	statusAnnotation   = "k8s.v1.cni.cncf.io/network-status"
	// defaultAnnotation would choose another default network.
	defaultAnnotation = "v1.multus-cni.io/default-network"
)

// status is an entry of the network status annotation (De-facto Standard,
// section 5.1).
type status struct {
	Name      string    `json:"name"`
	Interface string    `json:"interface,omitempty"`
	IPs       []string  `json:"ips,omitempty"`
	MAC       string    `json:"mac,omitempty"`
	Default   bool      `json:"default,omitempty"`
	DNS       types.DNS `json:"dns"`
}

func newStatus(d delegate, result types.Result) (status, error) {
	r, err := current.NewResultFromResult(result)
	if err != nil {
		return status{}, fmt.Errorf("result of network %s: %w", d.Name, err)
	}
	s := status{Name: d.Name, Interface: d.Interface, Default: d.Default, DNS: r.DNS}
	for _, i := range r.Interfaces {
		// The others are on the host.
		if i.Sandbox != "" {
			s.Interface, s.MAC = i.Name, i.Mac
			break
		}
	}
	for _, ip := range r.IPs {
		s.IPs = append(s.IPs, ip.Address.IP.String())
	}
	return s, nil
}
