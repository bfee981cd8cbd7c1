"""What a run costs, by arithmetic on specs: operations, speeds, requests to a cluster, the plan."""
