// Package seed reads what a machine is told by a small file system that is attached to it, in the forms that
// cloud-init knows: whoever writes an image to a disk by hand, or has OpenStack Ironic or Metal3 do so, configures it by them.
//
//	NoCloud, a file system labelled cidata:           meta-data, user-data, network-config (version 2)
//	a config drive, a file system labelled config-2:  openstack/latest/{meta_data.json, user_data, network_data.json}
//
// Of user data only the form "#cloud-config" is read, and of that hostname, fqdn, ssh_authorized_keys and
//
//	orrery:
//	  role: {check: three-nodes, scenario: "https://…", join: […]}
//
// Everything else is named and not heeded: the root of a node is read-only, and has no user but root, no password, and no IPv4.
//
// The forms are described in cloud-init's documentation (Datasources: NoCloud, Config drive; Network config version 2) and
// OpenStack's (Nova: Metadata, network_data.json).
package seed
