terraform {
  required_version = ">= 1.4"
}

locals {
  subnets = {
    public  = "10.10.0.0/24"
    private = "10.10.1.0/24"
  }
  firewall = ["allow 443"]
}

resource "terraform_data" "network" {
  input = { cidr = "10.10.0.0/16" }
}

resource "terraform_data" "subnet" {
  for_each = local.subnets
  input    = { name = each.key, cidr = each.value }
}

# A firewall cannot be changed in place: new rules are a new firewall.
resource "terraform_data" "firewall" {
  input            = { rules = local.firewall }
  triggers_replace = local.firewall
}
